"""What each figure shows, one function a figure: from results to a chart, for the page and for papers alike."""
