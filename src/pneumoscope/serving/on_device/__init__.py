"""The page on the device: its built files (from the folder ``app/``), and a server for them that needs no extra."""
