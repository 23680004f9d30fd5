package provider

// zoomScopes returns the scopes that a connection service meets: those of users/me, of the meeting tokens and of mapping
// a meeting to its host. A grant holds granular names or classic ones, depending on the age of the app; granular ones
// without a suffix are for the user's own things, ":admin" for the whole account, ":master" for sub-accounts.
func zoomScopes() []Scope {
	return append(zoomGranularScopes(), zoomClassicScopes()...)
}

func zoomGranularScopes() []Scope {
	return []Scope{
		{"user:read:user", "View the user's profile: id, account, e-mail, name and status."},
		{"user:read:user:admin", "View the profiles of all users in the account."},
		{"user:read:user:master", "View the profiles of users in sub-accounts."},
		{"user:read:email", "View whether an e-mail address belongs to a Zoom user."},
		{"user:read:email:admin", "View whether e-mail addresses belong to users in the account."},
		{"user:read:token", "Mint tokens with which an app joins meetings on the user's behalf."},
		{"user:read:token:admin", "Mint on-behalf tokens for all users in the account."},
		{"user:read:zak", "Mint ZAK tokens, with which an app starts meetings as the user."},
		{"user:read:zak:admin", "Mint ZAK tokens for all users in the account."},
		{"meeting:read:meeting", "View the user's meetings."},
		{"meeting:read:meeting:admin", "View the meetings of all users in the account."},
		{"meeting:read:list_meetings", "List the user's meetings; needed to find the host of a meeting id."},
		{"meeting:read:list_meetings:admin", "List the meetings of all users in the account."},
		{"meeting:read:local_recording_token", "Mint tokens that let an app record the user's meetings locally."},
		{"meeting:read:local_recording_token:admin", "Mint local-recording tokens for all meetings in the account."},
		{"meeting:read:live_streaming_token", "Mint tokens that let an app receive the live stream of the user's meetings."},
		{"meeting:read:live_streaming_token:admin", "Mint live-streaming tokens for all meetings in the account."},
		{"meeting:read:local_archiving_token:admin", "Mint tokens that let an app archive meetings of the account locally."},
		{"webinar:read:local_recording_token", "Mint tokens that let an app record the user's webinars locally."},
		{"webinar:read:local_recording_token:admin", "Mint local-recording tokens for all webinars in the account."},
		{"webinar:read:live_streaming_token", "Mint tokens that let an app receive the live stream of the user's webinars."},
		{"webinar:read:live_streaming_token:admin", "Mint live-streaming tokens for all webinars in the account."},
		{"webinar:read:local_archiving_token:admin", "Mint tokens that let an app archive webinars of the account locally."},
		{"imchat:bot", "Send chat messages as the app's chatbot; comes with client credentials only."},
	}
}

func zoomClassicScopes() []Scope {
	return []Scope{
		{"user:read", "Classic: view the user's profile and mint the user's tokens."},
		{"user:read:admin", "Classic: view all users of the account and mint their tokens."},
		{"user:write", "Classic: view and change the user's profile."},
		{"user:write:admin", "Classic: view and change all users of the account."},
		{"user_profile", "Classic: view the user's profile."},
		{"user_zak:read", "Classic: mint the user's ZAK tokens."},
		{"meeting:read", "Classic: view the user's meetings."},
		{"meeting:read:admin", "Classic: view the meetings of all users in the account."},
		{"meeting_token:read:local_recording", "Classic: mint local-recording tokens for the user's meetings."},
		{"meeting_token:read:admin:local_recording", "Classic: mint local-recording tokens for the account's meetings."},
		{"meeting_token:read:live_streaming", "Classic: mint live-streaming tokens for the user's meetings."},
		{"meeting_token:read:admin:live_streaming", "Classic: mint live-streaming tokens for the account's meetings."},
		{"meeting_token:read:admin:local_archiving", "Classic: mint local-archiving tokens for the account's meetings."},
	}
}
