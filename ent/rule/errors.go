package rule

import "errors"

// The ways a rule refuses. They are for the log and for errors.Is: a caller who meets one of them has met a bug of ours.
var (
	// ErrNoViewer says that nobody is calling: the context carries no viewer, or one that stands for no tenant.
	ErrNoViewer = errors.New("no viewer in the context")
	// ErrTenantMismatch says that a row was to be filed under a tenant other than the viewer's.
	ErrTenantMismatch = errors.New("the row would belong to another tenant")
	// ErrTenantMissing says that the viewer stands for no single tenant and the row names none.
	ErrTenantMissing = errors.New("the row names no tenant")
	// ErrAppendOnly says that a row was to be changed or deleted that stays as it was written.
	ErrAppendOnly = errors.New("rows of this table are never changed or deleted")
	// ErrSystemOnly says that a caller reached for a table that only the service itself uses.
	ErrSystemOnly = errors.New("only the service itself uses this table")
)
