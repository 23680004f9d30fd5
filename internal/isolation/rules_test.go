package isolation_test

import (
	"crypto/rand"
	"strings"

	"github.com/tokenkeep/tokenkeep/internal/id"
)

// Scopes beside those of the contract.
const (
	anyKey       = ""                 // every key
	anyOperator  = "OPERATOR"         // only the operator
	operatorOnly = "OPERATOR OUTSIDE" // only the operator, in no tenant
	orOperator   = "READ OR OPERATOR" // CONNECTIONS_READ, or the operator in no tenant
	orShared     = "APPS OR OPERATOR" // APPS_WRITE, or for shared apps the operator in no tenant
)

// The scopes of the contract.
const (
	read        = "CONNECTIONS_READ"
	write       = "CONNECTIONS_WRITE"
	credentials = "CREDENTIALS_READ"
	appsWrite   = "APPS_WRITE"
	tenantAdmin = "TENANT_ADMIN"
)

// args are the arguments of a field.
type args = map[string]any

// rule says how an operation is tried. An argument is tried with another tenant's values, or is plain.
type rule struct {
	// scope is what a caller must hold.
	scope string
	// own are arguments with which a party calls the operation for itself. Where the caller may, the call happens.
	own func(p *party) args
	// tries are the arguments that can carry another tenant's value, by the path of the argument.
	tries map[string]try
	// plain are the arguments whose text is nobody's, each with the reason.
	plain map[string]string
}

// try puts a value into the arguments.
type try struct {
	// kind is the value's; see party.values.
	kind string
	// with are the arguments around the value; mine is the party that tries.
	with func(mine *party, value string) args
	// want is what comes of it.
	want outcome
}

// outcome is what somebody gets for another tenant's value, which is what he gets for one that nobody has.
type outcome string

const (
	isNull       outcome = "null"         // data is null
	listOfNulls  outcome = "[null]"       // a list of nulls
	emptyPage    outcome = "no edges"     // a page without rows
	notConnected outcome = "NotConnected" // the union's member
	notFound     outcome = "NOT_FOUND"    // an error
	forbidden    outcome = "FORBIDDEN"    // an error, whatever the value
	anError      outcome = "an error"     // of a kind that depends on the value's form
	ownRowsOnly  outcome = "own rows"     // a page of the caller's rows
	codeRefused  outcome = "PROVIDER_REJECTED"
)

// absent makes a value of the kind that nobody has, in the same form.
func absent(kind, like string) string {
	if prefix, _, err := id.Split(like); err == nil {
		return prefix.Format(id.New())
	}
	word := strings.ToLower(rand.Text())
	return word[:min(len(word), 4+len(like)%8)] + "-" + kind[:1]
}

func argument(name string) func(*party, string) args {
	return func(_ *party, value string) args { return args{name: value} }
}

func input(name string) func(*party, string) args {
	return func(_ *party, value string) args { return args{"input": args{name: value}} }
}

func filter(name string) try {
	kinds := map[string]string{"app": "app", "subject": "subject", "externalUserId": "external user", "externalAccountId": "external account", "externalEmail": "external email"}
	return try{kind: kinds[name], want: emptyPage, with: func(_ *party, value string) args {
		return args{"filter": args{name: value}}
	}}
}

func cursor(list, name string) try {
	size := map[string]string{"after": "first", "before": "last"}[name]
	return try{kind: "cursor of " + list, want: ownRowsOnly, with: func(_ *party, value string) args {
		return args{name: value, size: 10}
	}}
}

func lookup(name, kind string) try {
	return try{kind: kind, want: notConnected, with: func(mine *party, value string) args {
		l := args{"provider": "zoom", "kind": "USER", "subject": mine.values["subject"]}
		if name == "externalUserId" {
			delete(l, "subject")
		}
		l[name] = value
		return args{"of": args{"lookup": l}}
	}}
}

func none(*party) args { return nil }

func own(name, kind string) func(*party) args {
	return func(p *party) args { return args{name: p.values[kind]} }
}

func ownInput(more args) func(*party) args {
	return func(p *party) args {
		in := args{"id": p.values["connection"]}
		for k, v := range more {
			in[k] = v
		}
		return args{"input": in}
	}
}

// keyOf is the metadata key that goes with a value.
func keyOf(value string) string { return strings.TrimSuffix(value, "Value") + "Key" }
