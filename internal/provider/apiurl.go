package provider

import (
	"net/url"
	"strings"
)

// AllowedAPIURL returns the api_url of a token answer without trailing slash, or "" where it may not be used: it must be
// https to a host of APIHosts on the usual port, or name the very origin of APIBase. It decides where a bearer token is
// sent, so everything unusual is refused.
func (p Provider) AllowedAPIURL(value string) string {
	u, err := url.Parse(strings.TrimRight(strings.TrimSpace(value), "/"))
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return ""
	}
	if sameOrigin(u, p.APIBase) || u.Scheme == "https" && (u.Port() == "" || u.Port() == "443") && p.allowsHost(u.Hostname()) {
		return u.String()
	}
	return ""
}

func sameOrigin(u *url.URL, base string) bool {
	b, err := url.Parse(base)
	return err == nil && b.Host != "" && b.Scheme == u.Scheme && strings.EqualFold(b.Host, u.Host)
}

func (p Provider) allowsHost(host string) bool {
	host = strings.ToLower(host)
	for _, pattern := range p.APIHosts {
		pattern = strings.ToLower(pattern)
		if below, wild := strings.CutPrefix(pattern, "*"); wild {
			if strings.HasSuffix(host, below) && len(host) > len(below) {
				return true
			}
		} else if host == pattern {
			return true
		}
	}
	return false
}
