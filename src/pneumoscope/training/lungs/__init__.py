"""Where the lungs are: the lung-field network's training, its shipped weights, and the crop that they give."""
