-- Where MLflow keeps its own tables; it makes them itself when the registry is first opened.
CREATE SCHEMA IF NOT EXISTS mlflow;
