"""Files into validated, frozen values: productions, versions, sites, lists."""
