# Tokenkeep in a container: one binary, no shell scripts, not root.
#
#   docker build -t tokenkeep .
#   docker run --rm tokenkeep --help

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# SQLite is compiled with cgo, so the binary needs the C library of the same Debian release: see the next stage.
RUN CGO_ENABLED=1 go build -trimpath -buildvcs=false -ldflags="-s -w" -o /out/tokenkeep ./cmd/tokenkeep
# Volumes that are made from these folders keep their owner: the embedded vault's, and those of docker-compose.yml.
RUN install -d -o 65532 -g 65532 -m 0700 /out/lib/tokenkeep /out/lib/tokenkeep-key /out/lib/tokenkeep-login

FROM debian:12.12-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/tokenkeep /usr/local/bin/tokenkeep
COPY --from=build --chown=65532:65532 /out/lib/ /var/lib/
USER 65532:65532
WORKDIR /var/lib/tokenkeep
VOLUME /var/lib/tokenkeep
EXPOSE 8080
ENTRYPOINT ["tokenkeep"]
CMD ["serve"]
