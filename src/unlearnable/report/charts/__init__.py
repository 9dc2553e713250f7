"""The page's interactive figures: each function takes cells of one comparison and returns a plotly figure."""
