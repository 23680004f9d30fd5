// Package page walks lists in pages, after Relay's cursor connections.
//
// Mechanism: a page is a range of keys in an order that an index has. A cursor is such a key; "after" and "before" become
// comparisons with it, so that the hundredth page costs what the first does. One row more than asked for says whether the
// list goes on in the walk's direction; the other direction takes a probe of one row, and a total a count, and both are
// done only when a client selects them.
//
// Limit: a cursor names a place in an order, not a moment: rows that appear or move between two requests are met or missed
// as their new place says.
package page
