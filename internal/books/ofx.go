package books

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/money"
)

// NewOFX returns an export as a bank statement of each wallet (OFX 2.1.1, banking). A statement has
// the changes of the balance, but not the holds; its available balance is without what is held.
// wallets are the ids of the wallets, and now is the time of the statement if the period has no
// end. Each wallet needs a temporary file, because a statement begins with its currency and period
// and entries of all wallets come mixed. The caller calls Discard at the end.
func NewOFX(out io.Writer, p Period, wallets map[money.Currency]uuid.UUID, now time.Time) *Export {
	if !p.Until.IsZero() {
		now = p.Until
	}
	return newExport(&ofxSink{out: out, since: p.Since, now: now, wallets: wallets, files: map[money.Currency]*ofxFile{}}, p)
}

type ofxSink struct {
	out        io.Writer
	since, now time.Time
	wallets    map[money.Currency]uuid.UUID
	files      map[money.Currency]*ofxFile
}

// ofxFile has the transactions of a wallet.
type ofxFile struct {
	file  *os.File
	text  *bufio.Writer
	begin time.Time // of the statement
}

func (s *ofxSink) begin(w Wallet) error {
	file, err := os.CreateTemp("", "kizo-ofx-*") // 0600
	if err != nil {
		return err
	}
	s.files[w.Currency] = &ofxFile{file: file, text: bufio.NewWriter(file), begin: s.since}
	return nil
}

func (s *ofxSink) discard() {
	for _, f := range s.files {
		f.file.Close()
		os.Remove(f.file.Name())
	}
}

func (s *ofxSink) add(e *Entry) error {
	f := s.files[e.Wallet.Currency]
	if f.begin.IsZero() {
		f.begin = e.At
	}
	if e.EventID == "" || e.Change == 0 {
		return nil
	}
	amount := money.Amount{Minor: e.Change, Currency: e.Wallet.Currency}
	// The limits of OFX are characters: 32 of NAME, 255 of MEMO.
	_, err := f.text.WriteString("<STMTTRN><TRNTYPE>" + ofxType(e) + "</TRNTYPE><DTPOSTED>" + ofxTime(e.At) + "</DTPOSTED>" +
		"<TRNAMT>" + amount.Decimal() + "</TRNAMT><FITID>" + e.Transfer.Id.String() + "</FITID>" +
		"<NAME>" + ofxText(e.counterparty(), 32) + "</NAME>" + ofxMemo(e.memo()) + "</STMTTRN>\n")
	return err
}

func ofxMemo(memo string) string {
	if memo == "" {
		return ""
	}
	return "<MEMO>" + ofxText(memo, 255) + "</MEMO>"
}

func ofxType(e *Entry) string {
	switch {
	case e.Transfer.Kind == client.TransferKindDeposit:
		return "DEP"
	case e.Transfer.Kind == client.TransferKindWithdrawal:
		return "XFER"
	case e.Change > 0:
		return "CREDIT"
	}
	return "DEBIT"
}

const (
	ofxHead = `<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<?OFX OFXHEADER="200" VERSION="211" SECURITY="NONE" OLDFILEUID="NONE" NEWFILEUID="NONE"?>
<OFX>
<SIGNONMSGSRSV1><SONRS><STATUS><CODE>0</CODE><SEVERITY>INFO</SEVERITY></STATUS><DTSERVER>%s</DTSERVER><LANGUAGE>ENG</LANGUAGE></SONRS></SIGNONMSGSRSV1>
`
	ofxStatementHead = `<STMTTRNRS><TRNUID>0</TRNUID><STATUS><CODE>0</CODE><SEVERITY>INFO</SEVERITY></STATUS>
<STMTRS><CURDEF>%s</CURDEF><BANKACCTFROM><BANKID>KIZO</BANKID><ACCTID>%s</ACCTID><ACCTTYPE>CHECKING</ACCTTYPE></BANKACCTFROM>
<BANKTRANLIST><DTSTART>%s</DTSTART><DTEND>%s</DTEND>
`
	ofxStatementTail = `</BANKTRANLIST>
<LEDGERBAL><BALAMT>%s</BALAMT><DTASOF>%s</DTASOF></LEDGERBAL>
<AVAILBAL><BALAMT>%s</BALAMT><DTASOF>%s</DTASOF></AVAILBAL>
</STMTRS></STMTTRNRS>
`
)

func (s *ofxSink) end(wallets []Wallet) error {
	now := ofxTime(s.now)
	if _, err := fmt.Fprintf(s.out, ofxHead, now); err != nil {
		return err
	}
	if len(wallets) > 0 {
		if err := s.statements(wallets, now); err != nil {
			return err
		}
	}
	_, err := io.WriteString(s.out, "</OFX>\n")
	return err
}

func (s *ofxSink) statements(wallets []Wallet, now string) error {
	if _, err := io.WriteString(s.out, "<BANKMSGSRSV1>\n"); err != nil {
		return err
	}
	for _, w := range wallets {
		f := s.files[w.Currency]
		if _, err := fmt.Fprintf(s.out, ofxStatementHead, w.Currency, ofxAccount(s.wallets[w.Currency]), ofxTime(f.begin), now); err != nil {
			return err
		}
		if err := f.copyTo(s.out); err != nil {
			return err
		}
		decimal := func(minor int64) string { return money.Amount{Minor: minor, Currency: w.Currency}.Decimal() }
		if _, err := fmt.Fprintf(s.out, ofxStatementTail, decimal(w.Balance), now, decimal(w.Available()), now); err != nil {
			return err
		}
	}
	_, err := io.WriteString(s.out, "</BANKMSGSRSV1>\n")
	return err
}

func (f *ofxFile) copyTo(out io.Writer) error {
	if err := f.text.Flush(); err != nil {
		return err
	}
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(out, f.file)
	return err
}

// ofxAccount is the id of a wallet in 22 characters, which is as long as an account number of OFX
// may be.
func ofxAccount(wallet uuid.UUID) string { return base64.RawURLEncoding.EncodeToString(wallet[:]) }

func ofxTime(at time.Time) string { return at.UTC().Format("20060102150405.000[0:GMT]") }

// ofxText writes untrusted text as character data of at most limit characters.
func ofxText(s string, limit int) string {
	s = printable.Text(s)
	if utf8.RuneCountInString(s) > limit {
		s = string([]rune(s)[:limit])
	}
	return ofxEscapes.Replace(s)
}

// Older programs know these three entities only.
var ofxEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
