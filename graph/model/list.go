package model

import (
	"context"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/graph/page"
)

// PageInfo is where a page stands in its list. Whether the list goes on may take a look at the database, which happens
// when a client selects it.
type PageInfo struct {
	StartCursor, EndCursor *string

	next, previous func(context.Context) (bool, error)
}

// HasNextPage reports whether the list goes on after the page.
func (p *PageInfo) HasNextPage(ctx context.Context) (bool, error) { return p.next(ctx) }

// HasPreviousPage reports whether the list begins before the page.
func (p *PageInfo) HasPreviousPage(ctx context.Context) (bool, error) { return p.previous(ctx) }

// total is counted when a client selects it.
type total func(context.Context) (page.Total, error)

// TotalCount is the length of the list as far as it was counted.
func (t total) TotalCount(ctx context.Context) (int, error) {
	n, err := t(ctx)
	return n.N, err
}

// ConnectionConnection is a page of connections.
type ConnectionConnection struct {
	Edges    []*ConnectionEdge
	Nodes    []*Connection
	PageInfo *PageInfo
	total
}

// TotalCountIsExact is false where counting stopped at TotalCount.
func (c *ConnectionConnection) TotalCountIsExact(ctx context.Context) (bool, error) {
	n, err := c.total(ctx)
	return n.Exact, err
}

// OAuthAppConnection is a page of apps.
type OAuthAppConnection struct {
	Edges    []*OAuthAppEdge
	Nodes    []*OAuthApp
	PageInfo *PageInfo
	total
}

// TenantConnection is a page of tenants.
type TenantConnection struct {
	Edges    []*TenantEdge
	Nodes    []*Tenant
	PageInfo *PageInfo
	total
}

// ConnectionPage makes the list's part of a page of rows.
func ConnectionPage(p *page.Page[*ent.Connection]) *ConnectionConnection {
	nodes, edges, info := parts(p, ConnectionOf, func(n *Connection, c string) *ConnectionEdge { return &ConnectionEdge{Node: n, Cursor: c} })
	return &ConnectionConnection{Nodes: nodes, Edges: edges, PageInfo: info, total: p.Total}
}

// AppPage makes the list's part of a page of rows.
func AppPage(p *page.Page[*ent.OAuthApp]) *OAuthAppConnection {
	nodes, edges, info := parts(p, OAuthAppOf, func(n *OAuthApp, c string) *OAuthAppEdge { return &OAuthAppEdge{Node: n, Cursor: c} })
	return &OAuthAppConnection{Nodes: nodes, Edges: edges, PageInfo: info, total: p.Total}
}

// TenantPage makes the list's part of a page of rows.
func TenantPage(p *page.Page[*ent.Tenant]) *TenantConnection {
	nodes, edges, info := parts(p, TenantOf, func(n *Tenant, c string) *TenantEdge { return &TenantEdge{Node: n, Cursor: c} })
	return &TenantConnection{Nodes: nodes, Edges: edges, PageInfo: info, total: p.Total}
}

// KeyPage makes the list's part of a page of rows.
func KeyPage(p *page.Page[*ent.APIKey]) *APIKeyConnection {
	nodes, edges, info := parts(p, APIKeyOf, func(n *APIKey, c string) *APIKeyEdge { return &APIKeyEdge{Node: n, Cursor: c} })
	return &APIKeyConnection{Nodes: nodes, Edges: edges, PageInfo: info}
}

func parts[Row, Node, Edge any](p *page.Page[Row], node func(Row) Node, edge func(Node, string) Edge) ([]Node, []Edge, *PageInfo) {
	nodes := each(p.Items, node)
	edges := make([]Edge, len(nodes))
	for i, n := range nodes {
		edges[i] = edge(n, p.Cursor(i))
	}
	start, end := p.Ends()
	return nodes, edges, &PageInfo{StartCursor: start, EndCursor: end, next: p.Next, previous: p.Previous}
}
