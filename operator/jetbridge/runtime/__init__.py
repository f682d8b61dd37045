"""A generic level-triggered engine. It knows neither Airflow nor Vault."""
