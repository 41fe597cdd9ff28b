# Two images, each of one command and what it runs on: Deno, the C library, libcrypto. No shell, no package manager.
#
#   docker build --target gateway --tag ssh-mesh-gateway .
#   docker build --target agent   --tag ssh-mesh-agent .
#
# deploy/image_root.ts makes the folders; the tests make the same ones and run them without a container.

FROM node:20-bookworm-slim AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libssl3 libstdc++6 \
 && rm -rf /var/lib/apt/lists/*
RUN npm install --global deno@2.9.6
WORKDIR /project
COPY . .
RUN deno run -A deploy/image_root.ts cmd/gateway.ts /roots/gateway \
 && deno run -A deploy/image_root.ts cmd/agent.ts /roots/agent \
 && mkdir -m 700 /roots/state

FROM scratch AS base
# State lies in /var/lib/ssh-mesh: mount a volume there to keep host keys and names.
ENV DENO_DIR=/deno-dir DENO_NO_UPDATE_CHECK=1 HOME=/tmp XDG_STATE_HOME=/var/lib
USER 65532:65532
STOPSIGNAL SIGTERM

FROM base AS gateway
COPY --from=build /roots/gateway /
COPY --from=build --chown=65532:65532 /roots/state /var/lib/ssh-mesh
EXPOSE 15022
# The admin address stays inside the container until --admin says otherwise.
ENTRYPOINT ["/bin/deno", "run", "--cached-only", "--allow-all", "/app/cmd/gateway.ts"]

FROM base AS agent
COPY --from=build /roots/agent /
COPY --from=build --chown=65532:65532 /roots/state /var/lib/ssh-mesh
ENTRYPOINT ["/bin/deno", "run", "--cached-only", "--allow-all", "/app/cmd/agent.ts"]
