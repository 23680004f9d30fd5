package oauth

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter caps what a provider may ask for; the longest documented wait is for the next day.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads the Retry-After header in its three forms: seconds, an HTTP date (RFC 9110 10.2.3), and the ISO 8601
// time that Zoom sends with a daily limit. Dates are compared with the answer's own Date where it has one, so that a
// clock that is off here does no harm; else with now. Absent, unreadable and past values are zero.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if n, err := strconv.ParseFloat(value, 64); err == nil {
		return clampWait(n)
	}
	until, err := http.ParseTime(value)
	if err != nil {
		until, err = time.Parse(time.RFC3339, value)
	}
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	return clampWait(until.Sub(now).Seconds())
}

func clampWait(seconds float64) time.Duration {
	switch {
	case seconds > maxRetryAfter.Seconds():
		return maxRetryAfter
	case seconds > 0:
		return time.Duration(seconds * float64(time.Second))
	}
	return 0
}
