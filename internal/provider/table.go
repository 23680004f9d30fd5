package provider

import (
	"slices"
	"time"

	"golang.org/x/oauth2"
)

// The two styles of client authentication (RFC 6749 2.3.1), short for the tables.
const (
	inHeader = oauth2.AuthStyleInHeader
	inParams = oauth2.AuthStyleInParams
)

const day = 24 * time.Hour

// endpointProviders returns an entry for each endpoint of x/oauth2/endpoints that works without special handling. A test
// reads that package's source and fails when an endpoint is neither here nor in Excluded.
//
// What a provider's documentation does not say is left at the zero value: no PKCE, no rotation, no identity.
func endpointProviders() []Provider {
	return slices.Concat(tableAtoG(), tableHtoP(), tableQtoZ())
}

// at fills in what the endpoint says: addresses, and with them the grant types.
func at(e oauth2.Endpoint, p Provider) Provider {
	p.AuthorizationEndpoint, p.TokenEndpoint, p.DeviceAuthorizationEndpoint = e.AuthURL, e.TokenURL, e.DeviceAuthURL
	p.GrantTypes = []GrantType{AuthorizationCode}
	if e.DeviceAuthURL != "" {
		p.GrantTypes = append(p.GrantTypes, DeviceCode)
	}
	return p
}

// userInfo names an identity endpoint and up to three fields of its answer: user, e-mail and name. Without fields those
// of OpenID Connect hold.
func userInfo(endpoint string, fields ...string) Identity {
	id := Identity{Kind: IdentityUserInfo, Endpoint: endpoint}
	for i, to := range []*string{&id.UserIDField, &id.EmailField, &id.NameField} {
		if i < len(fields) {
			*to = fields[i]
		}
	}
	return id
}
