// Package shell writes commands for people to paste into a POSIX shell, so that
// what a run starts can be started again without it.
package shell

import "strings"

// Line is argv as one line; each word is in quotes where it needs them.
func Line(argv []string) string {
	words := make([]string, len(argv))
	for i, word := range argv {
		words[i] = Word(word)
	}
	return strings.Join(words, " ")
}

// Word is one word, in quotes only where it needs them.
func Word(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,+@%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
