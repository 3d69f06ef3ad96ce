# The deployment tools (schemas, topics, ksql, connectors, migrations) and ksqlite. Built from the checkout's root.
FROM python:3.13.9-slim-trixie AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
COPY deploy/requirements.txt /requirements.txt
RUN /venv/bin/pip install --require-hashes --no-deps -r /requirements.txt

FROM python:3.13.9-slim-trixie
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --create-home checks && install -d -o checks -g checks /state
COPY --from=packages /venv /venv
WORKDIR /app
COPY analytics_api analytics_api
COPY connectors connectors
COPY deploy deploy
COPY ksql ksql
COPY ksqlite ksqlite
COPY schemas schemas
USER checks
ENTRYPOINT ["python"]
CMD ["deploy/apply.py"]
