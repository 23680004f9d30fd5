package provider

// Excluded returns the endpoints of x/oauth2/endpoints that have no built-in entry, by their Go name, each with the
// reason. Those with a tenant in the URL work with an entry in the operator's file.
func Excluded() map[string]string {
	const tenant = "the URL carries a tenant of the customer's: needs an entry in the providers file"
	return map[string]string{
		"Apple":              "the client secret is a JWT that must be signed anew every few months",
		"HipChat":            "the service was shut down in 2019",
		"Instagram":          "the short-lived token must be traded at another host, outside of RFC 6749",
		"NokiaHealth":        "the service became Withings",
		"QQ":                 "the token endpoint answers errors as a JavaScript callback",
		"Withings":           "the token endpoint wants an action parameter and puts its answer into an envelope",
		"AsgardeoEndpoint":   tenant,
		"AzureAD":            tenant,
		"AzureADB2CEndpoint": tenant,
		"AWSCognito":         tenant,
		"HipChatServer":      "the service was shut down in 2019",
		"Shopify":            tenant,
	}
}
