package zoom

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter caps what Zoom may ask for; the longest documented wait is for the next day.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads how long Zoom asks to wait: Retry-After as seconds, as HTTP date or as the ISO 8601 time that comes
// with a daily limit, else X-RateLimit-Reset (Unix seconds), which comes with a limit per second. Times are compared with
// the answer's own Date where it has one, else with now. Absent, unreadable and past values are zero.
func retryAfter(header http.Header, now time.Time) time.Duration {
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	value := strings.TrimSpace(header.Get("Retry-After"))
	if n, err := strconv.ParseFloat(value, 64); err == nil && !math.IsNaN(n) {
		return clamp(time.Duration(min(max(n, 0), maxRetryAfter.Seconds()) * float64(time.Second)))
	}
	if until, err := http.ParseTime(value); err == nil {
		return clamp(until.Sub(now))
	}
	if until, err := time.Parse(time.RFC3339, value); err == nil {
		return clamp(until.Sub(now))
	}
	if n, err := strconv.ParseInt(header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
		return clamp(time.Unix(n, 0).Sub(now))
	}
	return 0
}

func clamp(d time.Duration) time.Duration { return min(max(d, 0), maxRetryAfter) }
