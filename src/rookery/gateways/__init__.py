"""Where clients come in: each gateway shapes requests and answers, and the services hold the rules."""
