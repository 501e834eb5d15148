"""The listening side: endpoints, authentication, hang-up watch, the model list, the life of the process."""
