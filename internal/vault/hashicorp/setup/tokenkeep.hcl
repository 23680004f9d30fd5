# Data keys: made, unwrapped and wrapped anew under tenants' keys. Encrypting directly is not needed, and would create
# keys that do not exist.
path "transit/datakey/plaintext/tokenkeep-*" { capabilities = ["update"] }
path "transit/decrypt/tokenkeep-*"           { capabilities = ["update"] }
path "transit/rewrap/tokenkeep-*"            { capabilities = ["update"] }

# Hashes of API keys.
path "transit/hmac/tokenkeep-pepper" { capabilities = ["update"] }

# Rotation: a new version, and later the end of the old ones. Nothing else about a key may be changed.
path "transit/keys/+"        { capabilities = ["read"] }
path "transit/keys/+/rotate" { capabilities = ["update"] }
path "transit/keys/+/trim"   { capabilities = ["update"] }
path "transit/keys/+/config" {
  capabilities       = ["update"]
  allowed_parameters = { "min_decryption_version" = [], "min_encryption_version" = [] }
}
path "transit/keys/tokenkeep-pepper/*" { capabilities = ["deny"] }

# Token sets.
path "secret/data/tokenkeep/tenants/+/connections/+"     { capabilities = ["create", "read", "update"] }
path "secret/destroy/tokenkeep/tenants/+/connections/+"  { capabilities = ["update"] }
path "secret/metadata/tokenkeep/tenants/+/connections/+" {
  capabilities       = ["create", "read", "update"]
  allowed_parameters = { "max_versions" = [] }
}
path "secret/metadata/tokenkeep/tenants/+/connections" { capabilities = ["list"] }
path "secret/config"                                   { capabilities = ["read"] }

# The health check writes a value without content.
path "secret/data/tokenkeep/health"     { capabilities = ["create", "read", "update"] }
path "secret/metadata/tokenkeep/health" { capabilities = ["create", "update"] }
