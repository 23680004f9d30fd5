package graph

import (
	"github.com/99designs/gqlgen/graphql"

	"github.com/tokenkeep/tokenkeep/graph/model"
	"github.com/tokenkeep/tokenkeep/graph/page"
	"github.com/tokenkeep/tokenkeep/graph/read"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/metadata"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

func createInput(in model.CreateConnectionInput) (connection.CreateInput, error) {
	out := connection.CreateInput{
		Kind:           (*string)(in.Kind),
		Subject:        in.Subject,
		LocalRecording: in.IsLocalRecordingTokenSupported,
		OnBehalf:       in.IsOnBehalfTokenSupported,
	}
	if in.Metadata != nil {
		out.Metadata = &in.Metadata
	}
	if code := in.Grant.AuthorizationCode; code != nil {
		out.Code = &connection.CodeGrant{Code: code.Code, RedirectURI: code.RedirectURI, Verifier: orZero(code.CodeVerifier)}
	}
	if key := in.Grant.APIKey; key != nil {
		out.APIKey = &connection.APIKeyGrant{APIKey: key.APIKey, Username: orZero(key.Username)}
	}
	var err error
	out.App, err = parseOptional(id.App, "app", in.App)
	return out, err
}

// updateInput tells a field that is null from one that was left out.
func updateInput(in model.UpdateConnectionInput) (connection.UpdateInput, error) {
	out := connection.UpdateInput{
		Merge:          in.MergeMetadata,
		RemoveKeys:     in.RemoveMetadataKeys,
		LocalRecording: in.IsLocalRecordingTokenSupported,
		OnBehalf:       in.IsOnBehalfTokenSupported,
	}
	if m, set := in.Metadata.ValueOK(); set && m != nil {
		out.Metadata = &m
	} else {
		out.MetadataNull = set
	}
	if s, set := in.Subject.ValueOK(); set {
		out.Subject, out.ClearSubject = s, s == nil
	}
	var err error
	out.ID, err = parse(id.Connection, "id", in.ID)
	return out, err
}

func createAppInput(in model.CreateOAuthAppInput) app.CreateInput {
	return app.CreateInput{
		Shared:        orZero(in.Shared),
		Provider:      in.Provider,
		Name:          orZero(in.Name),
		ClientID:      in.ClientID,
		ClientSecret:  orZero(in.ClientSecret),
		RedirectURIs:  in.RedirectUris,
		ReturnTo:      in.ReturnTo,
		Scopes:        in.Scopes,
		WebhookSecret: orZero(in.WebhookSecret),
	}
}

// updateAppInput tells a field that is null from one that was left out: null removes a secret and empties a list.
func updateAppInput(in model.UpdateOAuthAppInput) (app.UpdateInput, error) {
	out := app.UpdateInput{
		ClientSecret:  secretOf(in.ClientSecret),
		WebhookSecret: secretOf(in.WebhookSecret),
		RedirectURIs:  listOf(in.RedirectUris),
		ReturnTo:      listOf(in.ReturnTo),
		Scopes:        listOf(in.Scopes),
	}
	name, set := in.Name.ValueOK()
	if set && name == nil {
		return out, errs.Input("name", "an app has a name: leave name out to keep the one it has")
	}
	out.Name = name
	var err error
	out.ID, err = parse(id.App, "id", in.ID)
	return out, err
}

func secretOf(o graphql.Omittable[*secret.Text]) *secret.Text {
	s, set := o.ValueOK()
	if set && s == nil {
		return &secret.Text{}
	}
	return s
}

func listOf(o graphql.Omittable[[]string]) *[]string {
	list, set := o.ValueOK()
	if !set {
		return nil
	}
	return &list
}

// selectorOf looks for what the caller names. A malformed id is looked for, too, and not found.
func selectorOf(of model.CredentialSelector) (connection.Selector, error) {
	if of.Connection != nil {
		u := sought(id.Connection, *of.Connection)
		return connection.Selector{Connection: &u}, nil
	}
	l := of.Lookup
	a, err := parseOptional(id.App, "of.lookup.app", l.App)
	return connection.Selector{Lookup: &connection.Lookup{
		Provider:       l.Provider,
		App:            a,
		Kind:           string(l.Kind),
		Subject:        l.Subject,
		ExternalUserID: l.ExternalUserID,
	}}, err
}

// filterOf checks a filter. Errors: BAD_USER_INPUT.
func filterOf(in *model.ConnectionFilter) (read.Filter, error) {
	if in == nil {
		return read.Filter{}, nil
	}
	if in.State != nil && len(in.State) == 0 {
		return read.Filter{}, errs.Input("filter.state", "filter.state is an empty list, which no connection matches: name a state, or leave it out for all")
	}
	if len(in.MetadataHasKeys) > metadata.MaxKeys {
		return read.Filter{}, errs.Input("filter.metadataHasKeys", "filter.metadataHasKeys has %d keys; %d is the most", len(in.MetadataHasKeys), metadata.MaxKeys)
	}
	a, err := parseOptional(id.App, "filter.app", in.App)
	out := read.Filter{
		App:               a,
		Provider:          in.Provider,
		Kind:              (*string)(in.Kind),
		GrantType:         (*string)(in.GrantType),
		HasFailure:        in.HasFailure,
		Subject:           in.Subject,
		ExternalUserID:    in.ExternalUserID,
		ExternalAccountID: in.ExternalAccountID,
		ExternalEmail:     in.ExternalEmail,
		Metadata:          in.Metadata,
		MetadataKeys:      in.MetadataHasKeys,
		CreatedAfter:      in.CreatedAfter,
		CreatedBefore:     in.CreatedBefore,
		UpdatedAfter:      in.UpdatedAfter,
	}
	for _, s := range in.State {
		out.States = append(out.States, string(s))
	}
	return out, err
}

// orderOf is newest first unless the caller says otherwise.
func orderOf(in *model.ConnectionOrder) page.Order {
	if in == nil {
		return page.Order{Field: page.Created, Desc: true}
	}
	o := page.Order{Field: page.Created, Desc: in.Direction == model.OrderDirectionDesc}
	if in.Field == model.ConnectionOrderFieldUpdatedAt {
		o.Field = page.Updated
	}
	return o
}

func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
