# A key of the one type, which cannot be exported; deleting it.
path "transit/keys/+" {
  capabilities       = ["create", "read", "update", "delete"]
  allowed_parameters = { "type" = ["aes256-gcm96"] }
}
path "transit/keys/+/config" {
  capabilities       = ["update"]
  allowed_parameters = { "deletion_allowed" = [true] }
}
path "transit/keys/tokenkeep-pepper"   { capabilities = ["deny"] }
path "transit/keys/tokenkeep-pepper/*" { capabilities = ["deny"] }

# The mark that keeps a destroyed key from being made again.
path "secret/data/tokenkeep/tenants/+"     { capabilities = ["create", "read", "update"] }
path "secret/metadata/tokenkeep/tenants/+" {
  capabilities       = ["create", "update"]
  allowed_parameters = { "max_versions" = [] }
}
