package graph

import (
	"github.com/tokenkeep/tokenkeep/graph/generated"
	"github.com/tokenkeep/tokenkeep/graph/model"
	"github.com/tokenkeep/tokenkeep/graph/page"
)

// What operations cost beside the fields they return. A query of the database is worth ten fields, a token that may have
// to be refreshed more, a call of a provider the most.
const (
	costQuery  = 10
	costSecret = 20
	costCall   = 200
)

// weigh multiplies what hangs on a list by how long the list may get.
func weigh(c *generated.ComplexityRoot) {
	c.Query.Connections = func(child int, first *int, _ *string, last *int, _ *string, _ *model.ConnectionFilter, _ *model.ConnectionOrder) int {
		return listed(child, first, last)
	}
	c.Query.Apps = func(child int, first *int, _ *string, last *int, _ *string) int { return listed(child, first, last) }
	c.Query.APIKeys = func(child int, first *int, _ *string, last *int, _ *string) int { return listed(child, first, last) }
	c.Query.Tenants = func(child int, first *int, _ *string, last *int, _ *string) int { return listed(child, first, last) }
	c.Query.Node = func(child int, _ string) int { return costQuery + child }
	c.Query.Nodes = func(child int, ids []string) int { return costQuery + times(len(ids), child) }
	c.Query.Connection = func(child int, _ string) int { return costQuery + child }
	c.Query.App = func(child int, _ string) int { return costQuery + child }
	c.Query.Credential = func(child int, _ model.CredentialSelector, _ *int) int { return costSecret + child }
	c.Query.Credentials = func(child int, ids []string, _ *int) int { return costSecret + times(len(ids), child) }
	c.Mutation.CreateConnection = func(child int, _ model.CreateConnectionInput) int { return costCall + child }
	c.Mutation.RefreshConnection = func(child int, _ string) int { return costCall + child }
	c.Mutation.ReportUnauthorized = func(child int, _ string, _ int) int { return costCall + child }
	c.Mutation.DeleteConnection = func(child int, _ string) int { return costCall + child }
}

// listed is the cost of a page.
func listed(child int, first, last *int) int {
	size := page.DefaultSize
	for _, n := range []*int{first, last} {
		if n != nil {
			size = max(*n, 1)
		}
	}
	return costQuery + times(min(size, page.MaxSize), child)
}

// times multiplies without overflowing: the walker saturates what it adds, so both factors may be large.
func times(n, child int) int {
	const most = 1 << 40
	return max(n, 1) * min(child, most)
}
