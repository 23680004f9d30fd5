package database

import "strings"

// onlyReads reports whether a statement writes nothing, by its first word. A WITH may end in a write, so it counts as a
// read only where no word in it could begin one.
func onlyReads(query string) bool {
	switch word(skipSpace(query)) {
	case "SELECT", "VALUES", "EXPLAIN":
		return true
	case "WITH":
		return !namesWrite(query)
	default:
		return false
	}
}

// namesWrite reports whether INSERT, UPDATE, DELETE or REPLACE occurs as a word. Names in quotes are words, too: they cost
// a trip to the writer and nothing else.
func namesWrite(query string) bool {
	for query != "" {
		w := word(query)
		switch w {
		case "":
			query = query[1:]
			continue
		case "INSERT", "UPDATE", "DELETE", "REPLACE":
			return true
		}
		query = query[len(w):]
	}
	return false
}

// word returns the ASCII letters at the beginning of s, in capitals.
func word(s string) string {
	end := 0
	for end < len(s) && isLetter(s[end]) {
		end++
	}
	return strings.ToUpper(s[:end])
}

func isLetter(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_'
}

// skipSpace returns s without the spaces, comments and brackets at its beginning.
func skipSpace(s string) string {
	for {
		s = strings.TrimLeft(s, " \t\r\n(;")
		var found bool
		switch {
		case strings.HasPrefix(s, "--"):
			_, s, found = strings.Cut(s, "\n")
		case strings.HasPrefix(s, "/*"):
			_, s, found = strings.Cut(s, "*/")
		}
		if !found {
			return s
		}
	}
}
