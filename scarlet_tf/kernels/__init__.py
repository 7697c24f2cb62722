"""Operations with gradients of their own, each by the quickest way a device has."""
