"""What the settings that the paper leaves open do to a supernet: gradients of shared weights, LETs' start, rates."""
