"""snfpipe: the data production of a supernova survey, from raw nights to audited products."""
