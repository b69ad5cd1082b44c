package main

const batchHelp = `kizo pay pays the rows of a file:

  kizo pay --file payouts.csv --run 2026-11 --dry-run
  kizo pay --file payouts.csv --run 2026-11

The file is CSV in UTF-8 (with or without BOM, LF or CRLF), and its first row names the columns, in any order:

  to,amount,currency,memo,id
  @bob,12.50,USD,"wages, November",1
  carol@example.com,3,EUR,,2

  to         a @handle, an e-mail address or a wallet id; the server looks up about 20 addresses per user at once,
             and one more per minute, so a long file has handles
  amount     as kizo transfer takes it: 12, 12.5 or 12.50
  currency   ISO 4217
  memo       at most 140 characters; the column may be missing
  id         text of your own, which the file has once, such as the number of the invoice

Or it has JSON lines: {"to":"@bob","amount":"12.50","currency":"USD","memo":"","id":"1"}. All members are strings.
A row has at most 64 KiB, and a file 5,000,000 rows. A row is named by its line in the file.

First the whole file is checked: every row, every payee, that no id is there twice, that your wallets hold the
totals, and that your limits (kizo limits) and those of the API key allow them: each row, its payee, and the totals
of today. Rows that pay the same as another are named. Nothing is paid if anything is wrong: the exit code is 2 for an
error in the file, and 3 for what the server would refuse. --dry-run stops after the check.

Then the rows are paid in batches of 500, of which --concurrency are sent at once. The idempotency key of a row is
made of the name of the run and the id of the row. So each row is paid at most once in its run, whatever happens to
this computer or to the server: the same command, or kizo pay resume RUN, continues. A row that was changed after it
had been sent is named and not paid again. Rows may be added or put in another order. Without --run, the name is made
of the path of the file: a payout that comes again, with the same ids, needs a --run of its own.

The result of each row is appended to FILE.RUN.results.jsonl (FILE.results.jsonl without --run), and is on disk
before the row counts as done. With --results csv it is FILE.RUN.results.csv, with amounts as in the file, and text that
a spreadsheet would take for a formula begins with an apostrophe; --results FILE writes to another place, in CSV if the
name ends in .csv. Its state is

  posted     paid
  refused    refused for good, because of funds, say; another try needs another id, or another run
  failed     not paid, and not stored by the server; the next command tries again
  unknown    it may have been paid; the next command finds out

With more than --max-errors rows that were not paid, no further rows are sent. If the server does not answer, the
rows are sent again for --outage.

With --all-or-nothing, all rows are paid in one transaction, or none is. The server takes 500 rows at most in one.

Exit codes: 0 all rows are paid; 2 and 3 as above, and 3 if some were refused, which stderr and
kizo pay refused RUN list; 7 if rows are unknown or could not be sent; 130 interrupted. After 7 and 130,
kizo pay resume RUN continues.`
