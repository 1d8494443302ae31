"""One module per drawing; its functions are the boxes, in the order of the drawing."""
