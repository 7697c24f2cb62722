"""Operations with custom gradients, each with the fastest implementation for the device."""
