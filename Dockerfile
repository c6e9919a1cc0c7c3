# syntax=docker/dockerfile:1
# One image for the API, the workers and the migrations. It has no torch: models run elsewhere and
# are reached over HTTP.

FROM python:3.11-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /src
RUN uv venv /app
# Dependencies before the source: a change of the source reuses this layer.
COPY requirements/base.txt requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip sync --python /app/bin/python --require-hashes requirements/base.txt
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY migrations migrations
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --python /app/bin/python --no-deps .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="bump" \
      org.opencontainers.image.description="User profiles for LLM applications, with a measured quality for every version served." \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /app
# By number: Kubernetes' runAsNonRoot cannot look a name up.
USER 10001:10001
EXPOSE 8000
# Of the API. Whoever runs another command says how that is checked.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
ENTRYPOINT ["bump"]
CMD ["serve", "--host", "0.0.0.0"]
