"""Files of texts: CSV, TSV, JSONL and Parquet, read row by row and written whole."""
