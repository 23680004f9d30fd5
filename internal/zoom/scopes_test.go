package zoom_test

import (
	"slices"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/zoom"
)

func TestMissing(t *testing.T) {
	for _, tc := range []struct {
		name    string
		granted []string
		needed  [][]string
		want    []string
	}{
		{"recording, granular", []string{"user:read:user", "user:read:zak", "meeting:read:list_meetings", "meeting:read:local_recording_token"}, zoom.LocalRecordingScopes(), nil},
		{"recording, admin", []string{"user:read:user:admin", "user:read:zak:admin", "meeting:read:list_meetings:admin", "meeting:read:local_recording_token:admin"}, zoom.LocalRecordingScopes(), nil},
		{"recording, classic", []string{"user:read", "user_zak:read", "meeting:read", "meeting_token:read:local_recording"}, zoom.LocalRecordingScopes(), nil},
		{"recording, nothing", nil, zoom.LocalRecordingScopes(), []string{"user:read:user", "user:read:zak", "meeting:read:list_meetings", "meeting:read:local_recording_token"}},
		{"recording, one missing", []string{"user:read:user", "user:read:zak", "meeting:read:list_meetings"}, zoom.LocalRecordingScopes(), []string{"meeting:read:local_recording_token"}},
		{"a longer name is another scope", []string{"user:read:user", "user:read:token_extra"}, zoom.OnBehalfScopes(), []string{"user:read:token"}},
		{"on behalf, granular", []string{"user:read:token", "user:read:user"}, zoom.OnBehalfScopes(), nil},
		{"on behalf, classic", []string{"user:read:admin"}, zoom.OnBehalfScopes(), nil},
		{"on behalf, nothing", nil, zoom.OnBehalfScopes(), []string{"user:read:user", "user:read:token"}},
		{"nothing needed", nil, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := zoom.Missing(tc.granted, tc.needed); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
