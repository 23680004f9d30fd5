package provider

// apiKey returns the entry for services that hand out a fixed secret: it is kept, sealed and handed out like any other
// credential, and there is nobody to ask about it.
func apiKey() Provider {
	return Provider{Key: "api_key", Name: "API key", GrantTypes: []GrantType{APIKey}, Identity: Identity{Kind: IdentityNone}}
}
