package grant

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// TokenSet is what a record holds inside the seal: the tokens, and enough to rebuild a lost row.
type TokenSet struct {
	AccessToken  secret.Text
	RefreshToken secret.Text
	// TokenType is "bearer", or "basic" for an API key with a user name.
	TokenType string
	// Username goes with an API key; else empty.
	Username string
	// ObtainedAt is when the token was asked for, ExpiresAt is zero for one that does not expire; both by our clock.
	ObtainedAt, ExpiresAt time.Time
	Scopes                []string
	// APIURL is the API base that the provider named for this account; may be empty.
	APIURL string
	// Extra are the unknown fields of the provider's answer.
	Extra map[string]json.RawMessage
	Owner Owner
}

// Owner says whose token set it is.
type Owner struct {
	App         uuid.UUID `json:"app"`
	Provider    string    `json:"provider"`
	ClientID    string    `json:"client_id"`
	GrantType   string    `json:"grant_type"`
	Kind        string    `json:"kind"`
	UserID      string    `json:"user_id,omitempty"`
	AccountID   string    `json:"account_id,omitempty"`
	Email       string    `json:"email,omitempty"`
	DisplayName string    `json:"display_name,omitempty"`
	ConsentedAt time.Time `json:"consented_at"`
}

// Life is how long the access token was to live when it came; zero where it does not expire.
func (s TokenSet) Life() time.Duration {
	if s.ExpiresAt.IsZero() {
		return 0
	}
	return s.ExpiresAt.Sub(s.ObtainedAt)
}

// wireSet is the sealed form. Its names are part of the record format and never change.
type wireSet struct {
	AccessToken  string                     `json:"access_token"`
	RefreshToken string                     `json:"refresh_token,omitempty"`
	TokenType    string                     `json:"token_type"`
	Username     string                     `json:"username,omitempty"`
	ObtainedAt   time.Time                  `json:"obtained_at"`
	ExpiresAt    time.Time                  `json:"expires_at,omitzero"`
	Scopes       []string                   `json:"scopes"`
	APIURL       string                     `json:"api_url,omitempty"`
	Extra        map[string]json.RawMessage `json:"extra,omitempty"`
	Owner        Owner                      `json:"owner"`
}

// encode writes the set for sealing.
func (s TokenSet) encode() (secret.Bytes, error) {
	b, err := json.Marshal(wireSet{
		AccessToken: s.AccessToken.Reveal(), RefreshToken: s.RefreshToken.Reveal(), TokenType: s.TokenType, Username: s.Username,
		ObtainedAt: s.ObtainedAt, ExpiresAt: s.ExpiresAt, Scopes: s.Scopes, APIURL: s.APIURL, Extra: s.Extra, Owner: s.Owner,
	})
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("encoding a token set: %w", err)
	}
	return secret.NewBytes(b), nil
}

// decodeSet reads what encode wrote.
func decodeSet(b secret.Bytes) (TokenSet, error) {
	var w wireSet
	if err := json.Unmarshal(b.Reveal(), &w); err != nil {
		return TokenSet{}, fmt.Errorf("decoding a token set: %w", ErrUnreadable) // the cause would quote the set
	}
	return TokenSet{
		AccessToken: secret.New(w.AccessToken), RefreshToken: secret.New(w.RefreshToken), TokenType: w.TokenType, Username: w.Username,
		ObtainedAt: w.ObtainedAt, ExpiresAt: w.ExpiresAt, Scopes: w.Scopes, APIURL: w.APIURL, Extra: w.Extra, Owner: w.Owner,
	}, nil
}
