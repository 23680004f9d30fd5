package zoom

import "slices"

// A need is met by any one of its alternatives. The preferred one comes first: the granular name for the user's own
// things, which is the least that works. After it the account-wide (":admin") and sub-account (":master") granular names,
// then the classic ones, which older apps keep until they are migrated.

func userProfile() []string {
	return granular("user:read:user", "user:read", "user:read:admin", "user:write", "user:write:admin", "user:master", "user_profile")
}

func userToken() []string {
	return granular("user:read:token", "user:read", "user:read:admin", "user:write", "user:write:admin", "user:master", "user_profile")
}

func userZAK() []string { return granular("user:read:zak", "user_zak:read") }

func listMeetings() []string {
	return granular("meeting:read:list_meetings", "meeting:read", "meeting:read:admin", "meeting:master")
}

func localRecordingToken() []string {
	return granular("meeting:read:local_recording_token",
		"meeting_token:read:local_recording", "meeting_token:read:admin:local_recording")
}

// granular lists a granular scope's levels, then the classic names.
func granular(name string, classic ...string) []string {
	return append([]string{name, name + ":admin", name + ":master"}, classic...)
}

// LocalRecordingScopes returns what a grant needs for local-recording tokens: for each need the alternatives, the
// preferred one first. Besides the token itself these are the profile, the meeting list (a meeting id leads to its host
// that way) and the ZAK with which a recorder starts a meeting.
func LocalRecordingScopes() [][]string {
	return [][]string{userProfile(), userZAK(), listMeetings(), localRecordingToken()}
}

// OnBehalfScopes returns what a grant needs for on-behalf tokens: for each need the alternatives, the preferred one
// first.
func OnBehalfScopes() [][]string { return [][]string{userProfile(), userToken()} }

// Missing returns the preferred name of each need that granted does not meet, in the order of needed; nil where nothing
// is missing.
func Missing(granted []string, needed [][]string) []string {
	var missing []string
	for _, alternatives := range needed {
		met := slices.ContainsFunc(alternatives, func(s string) bool { return slices.Contains(granted, s) })
		if !met && len(alternatives) > 0 {
			missing = append(missing, alternatives[0])
		}
	}
	return missing
}
