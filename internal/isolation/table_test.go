package isolation_test

// Reasons for arguments that are not tried.
const (
	newText   = "text of the new object"
	catalogue = "the catalogue is the same for all"
)

// rules are all operations. A field of the schema that is not here fails TestEveryOperationHasARule.
var rules = map[string]rule{
	"node":      {scope: read, own: own("id", "connection"), tries: map[string]try{"id": {"connection", argument("id"), isNull}}},
	"nodes":     {scope: read, own: func(p *party) args { return args{"ids": []string{p.values["connection"]}} }, tries: map[string]try{"ids": {"connection", listOf("ids"), listOfNulls}}},
	"viewer":    {scope: anyKey, own: none},
	"providers": {scope: orOperator, own: none},
	"provider":  {scope: orOperator, own: func(*party) args { return args{"key": "zoom"} }, plain: map[string]string{"key": catalogue}},
	"app":       {scope: orOperator, own: own("id", "app"), tries: map[string]try{"id": {"app", argument("id"), isNull}}},
	"apps": {scope: orOperator, own: none, tries: map[string]try{
		"after": cursor("apps", "after"), "before": cursor("apps", "before"),
	}},
	"connection": {scope: read, own: own("id", "connection"), tries: map[string]try{"id": {"connection", argument("id"), isNull}}},
	"connections": {scope: read, own: none, tries: map[string]try{
		"after": cursor("connections", "after"), "before": cursor("connections", "before"),
		"filter.app": filter("app"), "filter.subject": filter("subject"), "filter.externalUserId": filter("externalUserId"),
		"filter.externalAccountId": filter("externalAccountId"), "filter.externalEmail": filter("externalEmail"),
		"filter.metadata": {"metadata value", func(_ *party, value string) args {
			return args{"filter": args{"metadata": args{keyOf(value): value}}}
		}, emptyPage},
		"filter.metadataHasKeys": {"metadata key", func(_ *party, value string) args {
			return args{"filter": args{"metadataHasKeys": []string{value}}}
		}, emptyPage},
	}, plain: map[string]string{"filter.provider": catalogue}},
	"credential": {scope: credentials, own: func(p *party) args { return args{"of": args{"connection": p.values["connection"]}} }, tries: map[string]try{
		"of.connection": {"connection", func(_ *party, value string) args { return args{"of": args{"connection": value}} }, notConnected},
		"of.lookup.app": lookup("app", "app"), "of.lookup.subject": lookup("subject", "subject"), "of.lookup.externalUserId": lookup("externalUserId", "external user"),
	}, plain: map[string]string{"of.lookup.provider": catalogue}},
	"credentials": {scope: credentials, own: func(p *party) args { return args{"connections": []string{p.values["connection"]}} }, tries: map[string]try{
		"connections": {"connection", listOf("connections"), notConnected},
	}},
	"apiKeys": {scope: tenantAdmin, own: none, tries: map[string]try{"after": cursor("apiKeys", "after"), "before": cursor("apiKeys", "before")}},
	"tenants": {scope: anyOperator, own: none, tries: map[string]try{
		"after": {"cursor of apps", argument("after"), forbidden}, "before": {"cursor of apps", argument("before"), forbidden},
	}},

	"holds":       {scope: operatorOnly, own: none},
	"confirmHold": {scope: operatorOnly, own: own("id", "hold"), tries: map[string]try{"id": {"hold", argument("id"), forbidden}}},
	"dismissHold": {scope: operatorOnly, own: own("id", "other hold"), tries: map[string]try{"id": {"hold", argument("id"), forbidden}}},

	"createConnection": {scope: write, own: func(p *party) args {
		return args{"input": args{"app": p.values["key app"], "grant": args{"apiKey": args{"apiKey": "spare-" + p.word}}}}
	}, tries: map[string]try{
		"input.app": {"app", func(mine *party, value string) args {
			return args{"input": args{"app": value, "grant": args{"authorizationCode": args{"code": "no-such-code", "redirectUri": mine.values["redirect"]}}}}
		}, notFound},
		"input.grant.authorizationCode.code": {"code", func(mine *party, value string) args {
			return args{"input": args{"app": mine.values["app"], "grant": args{"authorizationCode": args{"code": value, "redirectUri": mine.values["redirect"]}}}}
		}, codeRefused},
	}, plain: map[string]string{
		"input.subject": newText, "input.metadata": newText, "input.grant.authorizationCode.redirectUri": "compared with the app's own",
		"input.grant.authorizationCode.codeVerifier": "the provider's to check", "input.grant.apiKey.apiKey": newText, "input.grant.apiKey.username": newText,
	}},
	"updateConnection": {scope: write, own: ownInput(args{"mergeMetadata": args{"touched": "yes"}}), tries: map[string]try{
		"input.id": {"connection", func(_ *party, value string) args {
			return args{"input": args{"id": value, "mergeMetadata": args{"touched": "by another"}}}
		}, notFound},
	}, plain: map[string]string{
		"input.metadata": newText, "input.mergeMetadata": newText, "input.removeMetadataKeys": "keys of the connection that input.id names", "input.subject": newText,
	}},
	"deleteConnection":  {scope: write, own: own("id", "connection"), tries: map[string]try{"id": {"connection", argument("id"), notFound}}},
	"refreshConnection": {scope: write, own: own("id", "connection"), tries: map[string]try{"id": {"connection", argument("id"), notFound}}},
	"reportUnauthorized": {scope: credentials, own: func(p *party) args { return args{"connection": p.values["connection"], "version": 1} }, tries: map[string]try{
		"connection": {"connection", func(_ *party, value string) args { return args{"connection": value, "version": 1} }, notFound},
	}},
	"createOAuthApp": {scope: appsWrite, own: func(p *party) args {
		return args{"input": args{"provider": "zoom", "name": p.word, "clientId": p.word + "-another", "clientSecret": p.clientSecret}}
	}, plain: map[string]string{
		"input.provider": catalogue, "input.name": newText, "input.clientId": "a client id may be several tenants'; TestTheSameClientInTwoTenants", "input.clientSecret": newText,
		"input.redirectUris": newText, "input.returnTo": newText, "input.scopes": newText, "input.webhookSecret": newText,
	}},
	"updateOAuthApp": {scope: orShared, own: func(p *party) args { return args{"input": args{"id": p.values["app"], "name": p.word + " again"}} }, tries: map[string]try{
		"input.id": {"app", func(_ *party, value string) args {
			return args{"input": args{"id": value, "name": "of another", "clientSecret": "of-another"}}
		}, notFound},
	}, plain: map[string]string{
		"input.name": newText, "input.clientSecret": newText, "input.redirectUris": newText, "input.returnTo": newText, "input.scopes": newText, "input.webhookSecret": newText,
	}},
	"deleteOAuthApp": {scope: orShared, own: own("id", "spare app"), tries: map[string]try{"id": {"app", argument("id"), notFound}}},
	"createAPIKey": {scope: tenantAdmin, own: func(p *party) args {
		return args{"input": args{"name": p.word + " new key", "scopes": []string{read}}}
	}, plain: map[string]string{"input.name": newText}},
	"revokeAPIKey": {scope: tenantAdmin, own: own("id", "spare key"), tries: map[string]try{"id": {"key", argument("id"), notFound}}},
	"createTenant": {scope: operatorOnly, own: func(p *party) args { return args{"input": args{"name": p.word + " daughter"}} }, plain: map[string]string{
		"input.name": newText, "input.metadata": newText,
	}},
	"updateTenant": {scope: operatorOnly, own: func(p *party) args { return args{"input": args{"id": p.values["tenant"], "name": p.word + " Ltd"}} }, tries: map[string]try{
		"input.id": {"tenant", input("id"), forbidden},
	}, plain: map[string]string{"input.name": newText, "input.metadata": newText}},
	"rotateTenantKey": {scope: operatorOnly, own: own("id", "tenant"), tries: map[string]try{"id": {"tenant", argument("id"), forbidden}}},
	"deleteTenant":    {scope: operatorOnly, own: own("id", "spare tenant"), tries: map[string]try{"id": {"tenant", argument("id"), forbidden}}},
}

func listOf(name string) func(*party, string) args {
	return func(_ *party, value string) args { return args{name: []string{value}} }
}
