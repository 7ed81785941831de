"""The sample bank: a synthetic Korean bank and brokerage with planted, documented truths.

`generate` writes a landing zone; what is true of it stands in its truth.json. In the order of the data: `pages` (the
screens), `population` (the people), `simulate` (a day of events), `banking` (what other systems know), `arrival`
(which file an event comes in), `render` and `write` (the files), `truth` (the counts). `campaigns` is the bank's
campaign system, for the demo: it reads what the platform exports.
"""
