# SPDX-License-Identifier: ISC
# One image for every role: docker build -f .Dockerfile -t tunnel .
FROM debian:bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends make git ca-certificates
COPY . /src
RUN make -C /src STATIC=1 deps all && strip /src/tunnel

FROM scratch
COPY --from=build /src/tunnel /tunnel
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
USER 65534
ENTRYPOINT ["/tunnel"]
