package app

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/tokenkeep/tokenkeep/internal/errs"
)

// checkURL checks an address to which browsers are sent with a code or a result in their hands: https, or http on
// loopback, where nobody listens on the way (RFC 8252 7.3); no fragment (RFC 6749 3.1.2); nothing that a browser and a
// server may read differently.
func checkURL(field, text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return errs.Input(field, "%s must not be empty", field)
	case len(text) > maxURL:
		return errs.Input(field, "%s is longer than %d bytes", field, maxURL)
	case strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' || r == '\\' }):
		return errs.Input(field, "%s may not contain spaces, backslashes or characters beyond ASCII; percent-encode them", field)
	case err != nil:
		return errs.Input(field, "%s is not a URL", field)
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return errs.Input(field, "%s must be a whole address such as https://app.example.com/path", field)
	case u.User != nil:
		return errs.Input(field, "%s must not contain a user name or password", field)
	case strings.Contains(text, "#"):
		return errs.Input(field, "%s must not have a fragment (#...)", field)
	case strings.Contains(u.Host, "*"):
		return errs.Input(field, "%s must name one host; wildcards do not work", field)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return errs.Input(field, "%s must begin with https://; http:// is for localhost only", field)
	default:
		return nil
	}
}

// loopback reports whether the host is this machine by its name or address alone, without asking a resolver.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}
