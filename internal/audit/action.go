package audit

// The actions. Their texts are in the record and in callers' filters: they never change.
const (
	ConnectionCreate    = "connection.create"
	ConnectionUpdate    = "connection.update"
	ConnectionDelete    = "connection.delete"
	ConnectionConfirm   = "connection.confirm"
	ConnectionRefresh   = "connection.refresh"
	ConnectionAuthorize = "connection.authorize"
	ConnectionRepair    = "connection.repair"

	CredentialRead   = "credential.read"
	CredentialReport = "credential.report"
	ZoomTokenCreate  = "zoom_token.create"

	ConnectSessionCreate = "connect_session.create"

	AppCreate = "app.create"
	AppUpdate = "app.update"
	AppDelete = "app.delete"

	APIKeyCreate = "apikey.create"
	APIKeyRevoke = "apikey.revoke"

	TenantCreate    = "tenant.create"
	TenantUpdate    = "tenant.update"
	TenantDelete    = "tenant.delete"
	TenantRotateKey = "tenant.rotate_key"
	TenantErase     = "tenant.erase"

	HoldRaise   = "hold.raise"
	HoldConfirm = "hold.confirm"
	HoldDismiss = "hold.dismiss"
	HoldEnd     = "hold.end"

	WebhookEndpointCreate       = "webhook_endpoint.create"
	WebhookEndpointUpdate       = "webhook_endpoint.update"
	WebhookEndpointDelete       = "webhook_endpoint.delete"
	WebhookEndpointRotateSecret = "webhook_endpoint.rotate_secret"
)
