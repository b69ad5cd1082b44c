// Package text decides which characters of text from outside may be stored, logged and shown,
// and in which form texts are compared.
//
//	text from a caller,        ┌─ Visible, Unprintable, MisplacedJoiner ──► accept or reject it
//	a client or the bank ──────┼─ Clean, CleanProse ──────────────────────► store, log or show it
//	                           └─ Fold, LowerASCII ───────────────────────► search and compare it
//
// # Which characters are invisible
//
// Control characters, escape sequences, marks that change the direction of writing, zero-width
// characters and fillers can make one text look like another, or send commands to a terminal.
// [Clean] and [CleanProse] drop them. A text that a user chose, such as a name, is rejected
// instead: see [Visible].
//
// # Joiners
//
// Unicode has two joiners, invisible characters that several scripts cannot be written without:
//
//	U+200C zero width non-joiner    می‌خواهم (Persian), नमस्‌ते (Devanagari)
//	U+200D zero width joiner        ක්‍ෂ (Sinhala), 👨‍👩‍👧
//
// Anywhere else, two texts that look alike can differ by a joiner. [JoinerAllowed] allows a joiner
//
//   - between letters, by the rules CONTEXTJ of RFC 5892, appendix A.1 and A.2: after a
//     virama, and for the non-joiner also between two letters that would join;
//   - in an emoji, by the emoji ZWJ sequences of UTS 51, section 2.3: between two of its parts.
//
// # Folding
//
// [Fold] returns Unicode's NFKC_Casefold (UAX 44): full case folding, composed and compatibility
// characters made equal, invisible characters left out. In addition the Turkish letters İ and ı
// are read as i, so that each is found whatever the keyboard or the case. The server stores this
// form beside names and memos: a change of it needs a migration that rewrites the stored forms.
//
// The package imports nothing of Kizo. Escaping text for a terminal is not its job: the client
// does that.
package text
