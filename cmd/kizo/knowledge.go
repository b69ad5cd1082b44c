package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/JDevAman/kizo/client"
)

// knowledge is what completions remember of a user at a server. Ordinary commands add what they
// print; kizo logout removes it. It is a cache: losing it loses nothing.
type knowledge struct {
	Owner      string          `json:"owner"`     // the id of the user; empty for an API key
	Transfers  []knownTransfer `json:"transfers"` // the newest first
	Payees     []knownPayee    `json:"payees"`    // the last used first
	Currencies []string        `json:"currencies"`
	Sessions   []candidate     `json:"sessions"`
	APIKeys    []candidate     `json:"api_keys"`
}

type knownTransfer struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Kind      string    `json:"kind"`
	State     string    `json:"state"`
	Direction string    `json:"direction"`
	Amount    string    `json:"amount"`
	With      string    `json:"with"`
	Memo      string    `json:"memo,omitempty"`
}

type knownPayee struct {
	Handle string    `json:"handle"`
	Name   string    `json:"name"`
	At     time.Time `json:"at"`
}

// The limits of what is remembered.
const (
	maxKnownTransfers = 100
	maxKnownPayees    = 100
	maxKnownWords     = 100     // sessions, keys, currencies
	maxKnownText      = 80      // bytes of a name or a memo
	maxKnowledge      = 1 << 18 // bytes of the file
)

func (t knownTransfer) meaning() string {
	way := "to "
	if t.Direction == string(client.In) {
		way = "from "
	}
	meaning := t.State + " " + t.Kind + " " + t.Amount + " " + way + t.With
	if t.Memo != "" {
		meaning += ": " + t.Memo
	}
	return meaning
}

// addTransfers adds transfers in their present state.
func (k *knowledge) addTransfers(transfers []client.Transfer) {
	for _, t := range transfers {
		other := otherParty(t)
		known := knownTransfer{
			ID: t.Id.String(), At: t.CreatedAt, Kind: string(t.Kind), State: string(t.State), Direction: string(t.Direction),
			Amount: amountOf(t.Amount, t.Currency), With: partyHandle(other), Memo: shortText(text(t.Memo)),
		}
		k.Transfers = slices.DeleteFunc(k.Transfers, func(old knownTransfer) bool { return old.ID == known.ID })
		k.Transfers = append(k.Transfers, known)
		if other.Handle != nil {
			k.addPayee(knownPayee{*other.Handle, shortText(text(other.Name)), t.CreatedAt})
		}
	}
	// An open hold is remembered before a newer transfer that nothing can be done with.
	slices.SortStableFunc(k.Transfers, func(a, b knownTransfer) int {
		if openHold(a) != openHold(b) {
			return map[bool]int{true: -1, false: 1}[openHold(a)]
		}
		return b.At.Compare(a.At)
	})
	k.Transfers = k.Transfers[:min(len(k.Transfers), maxKnownTransfers)]
	slices.SortStableFunc(k.Payees, func(a, b knownPayee) int { return b.At.Compare(a.At) })
	k.Payees = k.Payees[:min(len(k.Payees), maxKnownPayees)]
}

func (k *knowledge) addPayee(p knownPayee) {
	for i, old := range k.Payees {
		if old.Handle == p.Handle {
			if p.At.After(old.At) {
				k.Payees[i] = p
			}
			return
		}
	}
	k.Payees = append(k.Payees, p)
}

func (k *knowledge) setWallets(wallets []client.Wallet) {
	k.Currencies = nil
	for _, w := range wallets[:min(len(wallets), maxKnownWords)] {
		k.Currencies = append(k.Currencies, w.Currency)
	}
}

func (k *knowledge) setSessions(sessions []client.Session) {
	k.Sessions = nil
	for _, s := range sessions[:min(len(sessions), maxKnownWords)] {
		k.Sessions = append(k.Sessions, candidate{s.Id.String(), shortText(text(s.Client))})
	}
}

func (k *knowledge) setAPIKeys(keys []client.APIKey) {
	k.APIKeys = nil
	for _, key := range keys[:min(len(keys), maxKnownWords)] {
		if key.RevokedAt == nil {
			k.APIKeys = append(k.APIKeys, candidate{key.Name, key.State})
		}
	}
}

// shortText bounds a text of another person.
func shortText(text string) string { return text[:min(len(text), maxKnownText)] }

func fetchTransfers(ctx context.Context, kizo *client.Client, k *knowledge) error {
	size := int32(pageSize)
	page, err := kizo.Transfers(ctx, client.ListTransfersParams{Limit: &size})
	if err == nil {
		k.addTransfers(page.Items)
	}
	return err
}

// fetchHolds replaces the open holds. Others may have ended, at their expiry say.
func fetchHolds(ctx context.Context, kizo *client.Client, k *knowledge) error {
	size, state, kind, direction := int32(pageSize), string(client.Pending), string(client.TransferKindAuthorization), string(client.In)
	page, err := kizo.Transfers(ctx, client.ListTransfersParams{Limit: &size, State: &state, Kind: &kind, Direction: &direction})
	if err == nil {
		k.Transfers = slices.DeleteFunc(k.Transfers, openHold)
		k.addTransfers(page.Items)
	}
	return err
}

func fetchSessions(ctx context.Context, kizo *client.Client, k *knowledge) error {
	sessions, err := kizo.Sessions(ctx)
	if err == nil {
		k.setSessions(sessions)
	}
	return err
}

func fetchAPIKeys(ctx context.Context, kizo *client.Client, k *knowledge) error {
	keys, err := kizo.APIKeys(ctx)
	if err == nil {
		k.setAPIKeys(keys)
	}
	return err
}

// learn remembers something for completions. A failure only means that it is not remembered.
func (a *app) learn(add func(*knowledge)) {
	path := a.knowledgePath()
	owner, err := a.sessionOwner()
	if err != nil || path == "" {
		return
	}
	known := readKnowledge(path)
	if known.Owner != owner { // of the user before
		known = knowledge{Owner: owner}
	}
	add(&known)
	writeKnowledge(path, known)
}

// sessionOwner returns the id of the user of the session; empty for an API key or a token, whose
// user is not known without a request.
func (a *app) sessionOwner() (string, error) {
	if found, err := a.credential(); err != nil || found.origin != "" {
		return "", err
	}
	config, err := a.config()
	if err != nil {
		return "", err
	}
	stored, err := a.sessions(config.Server.Value)
	if err != nil {
		return "", err
	}
	held, err := stored.Load(context.Background())
	if err == nil && held.AccessToken == "" {
		err = client.ErrNotLoggedIn
	}
	return held.User.Id.String(), err
}

// knowledgePath returns the file for the server and the user of the context, or for the API key of
// this command; empty if there is none.
func (a *app) knowledgePath() string {
	config, err := a.config()
	if err != nil || a.keyStdinFlag {
		return ""
	}
	state, err := a.stateDir()
	if err != nil {
		return ""
	}
	name := newSessionStore(state, config.Server.Value).name
	found, err := a.credential()
	if err != nil {
		return ""
	}
	if found.origin != "" {
		digest := sha256.Sum256([]byte(found.token))
		name += "-" + hex.EncodeToString(digest[:8])
	}
	return filepath.Join(state, "completion", name+".json")
}

// readKnowledge returns what is remembered: nothing if the file cannot be used.
func readKnowledge(path string) (known knowledge) {
	if text, err := readPrivate(path); err != nil || len(text) > maxKnowledge || json.Unmarshal(text, &known) != nil {
		return knowledge{}
	}
	return known
}

// writeKnowledge replaces the file as a whole. It is not synced: a cache may be lost.
func writeKnowledge(path string, known knowledge) {
	text, err := json.Marshal(known)
	if err != nil || len(text) > maxKnowledge || makePrivateDir(filepath.Dir(path)) != nil {
		return
	}
	file, err := os.CreateTemp(filepath.Dir(path), newContent(path)) // 0600
	if err != nil {
		return
	}
	_, err = file.Write(text)
	if closeErr := file.Close(); err != nil || closeErr != nil || os.Rename(file.Name(), path) != nil {
		_ = os.Remove(file.Name())
	}
}

// forgetKnowledge removes the file and what killed processes left of it.
func forgetKnowledge(path string) {
	if path != "" {
		_ = os.Remove(path)
		removeLeftovers(path)
	}
}
