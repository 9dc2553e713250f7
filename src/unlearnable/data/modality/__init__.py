"""What samples are made of: `base` is the seam, `pixels` are images of 8 bits, `tokens` texts as ids of words."""
