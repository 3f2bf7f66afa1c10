"""The built-in components, in folders by slot. They come in through the same entry points as a third party's."""
