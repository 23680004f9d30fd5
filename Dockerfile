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
# A volume that is made from this folder keeps its owner.
RUN install -d -o 65532 -g 65532 -m 0700 /out/data

FROM debian:12.12-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/tokenkeep /usr/local/bin/tokenkeep
COPY --from=build --chown=65532:65532 /out/data /var/lib/tokenkeep
USER 65532:65532
WORKDIR /var/lib/tokenkeep
VOLUME /var/lib/tokenkeep
EXPOSE 8080
ENTRYPOINT ["tokenkeep"]
CMD ["serve"]
