package isolation_test

import "slices"

// identity is who calls: a name for messages, the headers that say so, and what they stand for.
type identity struct {
	name    string
	headers [][2]string
	// scopes are the key's; operator is true for the operator's, who acts in a tenant where inTenant is true.
	scopes             []string
	operator, inTenant bool
}

// bearer is the holder of a key.
func bearer(name, key string, scopes ...string) identity {
	return identity{name: name, headers: [][2]string{{"Authorization", "Bearer " + key}}, scopes: scopes}
}

// inside is the identity in a tenant that it names.
func (who identity) inside(tenant string) identity {
	who.name += " inside a tenant"
	who.headers = append(slices.Clone(who.headers), [2]string{"Tokenkeep-Tenant", tenant})
	who.inTenant = true
	return who
}

// may reports whether the identity is let in where the scope is asked for. The operator never reads credentials.
func (who identity) may(scope string) bool {
	if who.operator {
		return mayOperate(scope, who.inTenant)
	}
	switch scope {
	case orOperator:
		scope = read
	case orShared:
		scope = appsWrite
	}
	operators := scope == operatorOnly || scope == anyOperator
	return scope == anyKey || slices.Contains(who.scopes, scope) || slices.Contains(who.scopes, tenantAdmin) && !operators
}

func mayOperate(scope string, inTenant bool) bool {
	switch scope {
	case anyKey, anyOperator, orOperator, orShared:
		return true
	case operatorOnly:
		return !inTenant
	case credentials:
		return false
	default:
		return inTenant
	}
}

// nobody sends no key.
var nobody = identity{name: "nobody"}
