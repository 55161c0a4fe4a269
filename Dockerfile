# The kit for many users, or for a machine that is not Linux: the steps are those of `make install`.
#     docker build -t mnist_kit .
#     docker run --rm -p 127.0.0.1:8888:8888 mnist_kit
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
    build-essential ca-certificates curl make python3 python3-venv && rm -rf /var/lib/apt/lists/*
RUN curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | \
    sh -s -- -y --profile minimal --component rust-src,rustfmt,clippy
COPY . /src
RUN PATH="/root/.cargo/bin:$PATH" make -C /src install PYTHON=/usr/bin/python3 PREFIX=/opt/mnist_kit
# What JupyterHub starts in a container for each user.
RUN /usr/bin/python3 -c "import sys; sys.path.insert(0, '/opt/mnist_kit/tools'); \
    import environments; environments.SERVER.install()"

FROM debian:bookworm-slim
# cc links the cells.
RUN apt-get update && apt-get install -y --no-install-recommends \
    build-essential ca-certificates fonts-noto-cjk make python3 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/mnist_kit /opt/mnist_kit
RUN useradd --create-home --shell /bin/bash --uid 1000 student
USER student
# A volume that is mounted here belongs to the user.
RUN mkdir --mode=700 /home/student/mnist_kit
WORKDIR /home/student
ENV PATH=/opt/mnist_kit/build/server/bin:/opt/mnist_kit/bin:/opt/mnist_kit/rust/bin:$PATH \
    JUPYTER_PATH=/opt/mnist_kit/.venv/share/jupyter \
    MNIST_KIT_STANDBY=0
EXPOSE 8888
CMD ["mnist_kit", "--ip=0.0.0.0", "--no-browser"]
