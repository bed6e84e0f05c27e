"""Flag services and stores that flipback brings along, one package for each."""
